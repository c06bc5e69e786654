import { generateKeyPair, randomUUID } from 'node:crypto'
import { promisify } from 'node:util'
import type pg from 'pg'
import { DIFY_SCHEMA_SQL } from './schema.ts'

/** A workspace of the demo's Dify, with the private key that a real Dify keeps in its file storage (dify.md §2.2). */
export type DemoWorkspace = { id: string; name: string; owner: string; email: string; privateKeyPem: string }

const PEOPLE = [
  { name: 'Customer Care', owner: 'Ada Moreau', email: 'ada@example.com' },
  { name: '研发工作区', owner: '林晓', email: 'lin@example.com' },
  { name: 'Data & Reports', owner: 'Jonas Okafor', email: 'jonas@example.com' },
]

/** Lays the schema of Dify's newest shape into an empty database, with three workspaces, their owners and key pairs. */
export async function layOutDify(client: pg.ClientBase): Promise<DemoWorkspace[]> {
  await client.query(DIFY_SCHEMA_SQL)
  const workspaces: DemoWorkspace[] = []
  for (const person of PEOPLE) workspaces.push(await addWorkspace(client, person))
  return workspaces
}

async function addWorkspace(
  client: pg.ClientBase,
  person: { name: string; owner: string; email: string },
): Promise<DemoWorkspace> {
  const keys = await promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  })
  const id = randomUUID()
  const accountId = randomUUID()
  // Dify stores the PEM without a trailing newline (dify.md §2.2).
  await client.query('INSERT INTO tenants (id, name, encrypt_public_key) VALUES ($1, $2, $3)', [
    id,
    person.name,
    keys.publicKey.trimEnd(),
  ])
  await client.query('INSERT INTO accounts (id, name, email) VALUES ($1, $2, $3)', [
    accountId,
    person.owner,
    person.email,
  ])
  await client.query(
    `INSERT INTO tenant_account_joins (tenant_id, account_id, role, current) VALUES ($1, $2, 'owner', true)`,
    [id, accountId],
  )
  return { id, ...person, privateKeyPem: keys.privateKey }
}
