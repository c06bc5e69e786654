import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A certificate for `localhost` that nobody vouches for. */
export function selfSigned(): { cert: Buffer; key: Buffer } {
  const cwd = mkdtempSync(join(tmpdir(), 'toolferry-tls-'))
  const newKey = ['-newkey', 'rsa:2048', '-nodes', '-keyout', 'key', '-out', 'cert']
  const name = ['-addext', 'subjectAltName=DNS:localhost']
  execFileSync('openssl', ['req', '-x509', '-days', '2', '-subj', '/CN=localhost', ...name, ...newKey], {
    cwd,
    stdio: 'pipe',
  })
  const pair = { cert: readFileSync(join(cwd, 'cert')), key: readFileSync(join(cwd, 'key')) }
  rmSync(cwd, { recursive: true })
  return pair
}
