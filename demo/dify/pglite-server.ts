import { createServer, type Socket } from 'node:net'
import type { PGlite } from '@electric-sql/pglite'

/**
 * PGlite behind PostgreSQL's wire protocol, for many clients at once.
 *
 * PGlite is one PostgreSQL session. @electric-sql/pglite-socket shares it message by message: two clients whose
 * Parse/Bind/Execute messages wait behind a third one's transaction get each other's rows. Here a client has the session
 * for a whole unit (everything up to Sync) and for its whole transaction; the others wait their turn.
 *
 * What stays different from a server with a session per client:
 * - transactions run one after another, so a client inside one must not wait for a second connection's answer;
 * - settings (`SET`), named prepared statements and session advisory locks are shared by all clients: advisory locks are
 *   granted to everybody, named statements of the same name clash;
 * - start-up options and cancel requests are ignored, `statement_timeout` never fires, there is no TLS;
 * - a session may idle for ever: where `idle_session_timeout` fires, PGlite 0.5 ends its one session and then spins on the
 *   lost protocol for good, and this process with it. So that timeout and `idle_in_transaction_session_timeout` stay off.
 */
export type PgliteServer = {
  host: string
  port: number
  user: string
  password: string
  database: string
  /** Ends every connection and the listener; the database stays open. */
  close(): Promise<void>
}

type Account = { user: string; password: string; database: string }
type Turnstile = {
  acquire(client: object): Promise<boolean>
  release(client: object): void
  leave(client: object): boolean
}

const SSL_REQUEST = 80877103
const CANCEL_REQUEST = 80877102
const GSS_REQUEST = 80877104
const PROTOCOL_3 = 196608

/** Of a unit that may set one of the two. */
const IDLE_TIMEOUT = /idle_(in_transaction_)?session_timeout/

/** Serves `db` on a free loopback port to clients that give this account (checked with a cleartext password). */
export async function startPgliteServer(db: PGlite, account: Account): Promise<PgliteServer> {
  const version = await db.query<{ server_version: string }>('SHOW server_version')
  const serverVersion = version.rows[0]?.server_version ?? '17.0'
  const turnstile = createTurnstile()
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.once('close', () => sockets.delete(socket))
    serveClient(socket, db, account, serverVersion, turnstile)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve())
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The demo database has no port.')
  return {
    host: '127.0.0.1',
    port: address.port,
    ...account,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

function serveClient(socket: Socket, db: PGlite, account: Account, serverVersion: string, turnstile: Turnstile): void {
  const client = {}
  let received: Buffer = Buffer.alloc(0)
  let unit: Buffer[] = []
  let phase: 'startup' | 'password' | 'ready' = 'startup'
  let startup = new Map<string, string>()
  let open = true
  let work = Promise.resolve()

  const end = (reply?: Buffer) => {
    open = false
    if (reply === undefined) socket.end()
    else socket.end(reply)
  }

  const takeStartup = (): boolean => {
    if (received.length < 8) return false
    const length = received.readInt32BE(0)
    const code = received.readInt32BE(4)
    if (received.length < length) return false
    const body = received.subarray(8, length)
    received = received.subarray(length)
    if (code === SSL_REQUEST || code === GSS_REQUEST) socket.write('N')
    else if (code === CANCEL_REQUEST) end()
    else if (code === PROTOCOL_3) {
      startup = readPairs(body)
      phase = 'password'
      socket.write(message('R', int32(3)))
    } else end(errorMessage('FATAL', '08P01', 'unsupported protocol version'))
    return true
  }

  const takePassword = (body: Buffer) => {
    const user = startup.get('user') ?? ''
    const database = startup.get('database') ?? user
    if (user !== account.user || cstring(body) !== account.password) {
      end(errorMessage('FATAL', '28P01', `password authentication failed for user "${user}"`))
    } else if (database !== account.database) {
      end(errorMessage('FATAL', '3D000', `database "${database}" does not exist`))
    } else {
      phase = 'ready'
      socket.write(greeting(serverVersion))
    }
  }

  const runUnit = async (bytes: Buffer) => {
    if (!open || !(await turnstile.acquire(client))) return
    try {
      const answer = Buffer.from(
        await db.runExclusive(async () => {
          const answered = await db.execProtocolRaw(bytes)
          // Before the timer of an idle session is started anew.
          if (IDLE_TIMEOUT.test(bytes.toString('latin1'))) await db.execProtocolRaw(NO_IDLE_TIMEOUTS)
          return answered
        }),
      )
      if (open) socket.write(answer)
      if (sessionIsIdle(answer)) turnstile.release(client)
    } catch (error) {
      turnstile.release(client)
      end(errorMessage('FATAL', 'XX000', error instanceof Error ? error.message : String(error)))
    }
  }

  const takeMessage = (): boolean => {
    if (received.length < 5) return false
    const length = 1 + received.readInt32BE(1)
    if (received.length < length) return false
    const whole = Buffer.from(received.subarray(0, length))
    const type = String.fromCharCode(whole.readUInt8(0))
    received = received.subarray(length)
    if (phase === 'password') {
      if (type === 'p') takePassword(whole.subarray(5))
      else end(errorMessage('FATAL', '08P01', 'a password message was expected'))
    } else if (type === 'X') end()
    else {
      unit.push(whole)
      // Simple query, Sync, Flush and function call are answered at once; everything before belongs to the same unit.
      if (type === 'Q' || type === 'S' || type === 'H' || type === 'F') {
        const bytes = Buffer.concat(unit)
        unit = []
        work = work.then(() => runUnit(bytes))
      }
    }
    return true
  }

  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    while (open && (phase === 'startup' ? takeStartup() : takeMessage())) {
      // Each call takes one message off the front.
    }
  })
  socket.on('error', () => {
    // 'close' follows.
  })
  socket.once('close', () => {
    open = false
    // A call that waits for its turn is told to give up, so that the chain of work ends.
    const held = turnstile.leave(client)
    work = work
      .then(async () => {
        if (held) await db.runExclusive(() => db.execProtocolRaw(message('Q', Buffer.from('ROLLBACK\0'))))
      })
      .finally(() => turnstile.release(client))
  })
}

/** One client at a time, first come first served; the client that has the turn keeps it until it gives it back. */
function createTurnstile(): Turnstile {
  let holder: object | null = null
  const waiting: { client: object; enter: (entered: boolean) => void }[] = []
  return {
    acquire: async (client) => {
      if (holder === client) return true
      if (holder === null) {
        holder = client
        return true
      }
      return new Promise((enter) => waiting.push({ client, enter }))
    },
    release: (client) => {
      if (holder !== client) return
      const next = waiting.shift()
      holder = next?.client ?? null
      next?.enter(true)
    },
    leave: (client) => {
      for (const entry of waiting.filter((candidate) => candidate.client === client)) {
        waiting.splice(waiting.indexOf(entry), 1)
        entry.enter(false)
      }
      return holder === client
    },
  }
}

/** True when the answer ends in ReadyForQuery with status I: no transaction is open and nothing is left half said. */
function sessionIsIdle(answer: Buffer): boolean {
  const end = answer.subarray(-6)
  return end.length === 6 && end.readUInt8(0) === 0x5a && end.readInt32BE(1) === 5 && end.readUInt8(5) === 0x49
}

function greeting(serverVersion: string): Buffer {
  const parameters = {
    server_version: serverVersion,
    server_encoding: 'UTF8',
    client_encoding: 'UTF8',
    DateStyle: 'ISO, MDY',
    IntervalStyle: 'postgres',
    TimeZone: 'UTC',
    integer_datetimes: 'on',
    standard_conforming_strings: 'on',
  }
  return Buffer.concat([
    message('R', int32(0)),
    ...Object.entries(parameters).map(([name, value]) => message('S', Buffer.from(`${name}\0${value}\0`))),
    message('K', Buffer.concat([int32(1), int32(0)])),
    message('Z', Buffer.from('I')),
  ])
}

function errorMessage(severity: string, code: string, text: string): Buffer {
  return message('E', Buffer.from(`S${severity}\0V${severity}\0C${code}\0M${text}\0\0`))
}

function message(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body])
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

const NO_IDLE_TIMEOUTS = message(
  'Q',
  Buffer.from('SET idle_session_timeout = 0; SET idle_in_transaction_session_timeout = 0\0'),
)

function cstring(body: Buffer): string {
  const end = body.indexOf(0)
  return body.toString('utf8', 0, end === -1 ? body.length : end)
}

function readPairs(body: Buffer): Map<string, string> {
  const parts = body.toString('utf8').split('\0')
  const pairs = new Map<string, string>()
  for (let i = 0; i + 1 < parts.length && parts[i] !== ''; i += 2) pairs.set(parts[i] ?? '', parts[i + 1] ?? '')
  return pairs
}
