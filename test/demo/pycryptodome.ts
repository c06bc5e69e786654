import { execFileSync } from 'node:child_process'

/** What Dify's own encrypter does, with the library it uses. Debian installs it as Cryptodome, pip as Crypto. */
const ENCRYPT_PY = `
import base64, json, sys
try:
    from Cryptodome.PublicKey import RSA; from Cryptodome.Cipher import PKCS1_OAEP, AES; from Cryptodome.Random import get_random_bytes
except ImportError:
    from Crypto.PublicKey import RSA; from Crypto.Cipher import PKCS1_OAEP, AES; from Crypto.Random import get_random_bytes
given = json.load(sys.stdin)
rsa = PKCS1_OAEP.new(RSA.import_key(given["publicKey"]))
out = []
for text in given["texts"]:
    key = get_random_bytes(16)
    eax = AES.new(key, AES.MODE_EAX)
    ct, tag = eax.encrypt_and_digest(text.encode())
    out.append(base64.b64encode(b"HYBRID:" + rsa.encrypt(key) + eax.nonce + tag + ct).decode())
json.dump(out, sys.stdout)
`

/** Encrypts texts as Dify does, with PyCryptodome. */
export function encryptInPython(publicKey: string, texts: string[]): string[] {
  const output = execFileSync('/usr/bin/python3', ['-c', ENCRYPT_PY], {
    input: JSON.stringify({ publicKey: publicKey.trimEnd(), texts }),
    encoding: 'utf8',
  })
  return JSON.parse(output) as string[]
}
