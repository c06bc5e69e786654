import { describe, expect, it } from 'vitest'
import { parseCozeCookie } from '../../../src/platforms/coze/cookie.ts'

const GUARD = encodeURIComponent('abc123|1766480000|5184000|Sat,+21-Feb-2026+08:53:20+GMT')

describe('a pasted cookie', () => {
  it.each([
    ['bare', 'sessionid=abc123; ttwid=1'],
    ['with its name', 'Cookie: sessionid=abc123; ttwid=1'],
    ['in small letters and without a space', 'cookie:sessionid=abc123; ttwid=1'],
    ['in quotes', '"sessionid=abc123; ttwid=1"'],
    ['with line breaks', 'sessionid=abc123;\r\n ttwid=1;\n'],
    ['as curl shows it', "-H 'Cookie: sessionid=abc123; ttwid=1'"],
    ['as curl shows it now', "-b 'sessionid=abc123; ttwid=1'"],
  ])('%s is the same cookie', (_how, pasted) => {
    expect(parseCozeCookie(pasted).header).toBe('sessionid=abc123; ttwid=1')
  })

  it('tells when it is expected to end, and does not tell when it does not know', () => {
    expect(parseCozeCookie(`sessionid=abc123; sid_guard=${GUARD}`).expiresAt).toEqual(new Date(1771664000_000))
    expect(parseCozeCookie('sessionid=abc123').expiresAt).toBeNull()
    expect(parseCozeCookie('sessionid=abc123; sid_guard=abc%7Cx%7Cy').expiresAt).toBeNull()
    expect(parseCozeCookie('sessionid=abc123; sid_guard=%E0%A4%A').expiresAt).toBeNull()
  })

  it('is named by its session only, whatever else is in it', () => {
    const digest = parseCozeCookie('sessionid=abc123; ttwid=1').sessionDigest
    expect(parseCozeCookie('ttwid=2; sid_tt=abc123').sessionDigest).toBe(digest)
    expect(parseCozeCookie('sessionid=abc124').sessionDigest).not.toBe(digest)
    expect(digest).not.toContain('abc123')
  })

  it.each([
    ['without a login', 'ttwid=1; msToken=abc; passport_csrf_token=x', 'InvalidDesiredState', 'sessionid'],
    ['that is none', 'hello', 'InvalidDesiredState', 'sessionid'],
    ['with an empty login', 'sessionid=; ttwid=1', 'InvalidDesiredState', 'sessionid'],
    ['with characters of no cookie', 'sessionid=abc…', 'InvalidDesiredState', 'copy it again'],
    ['of the open-source edition', 'session_key=abc', 'UnsupportedVersion', 'no MCP plugins'],
  ])('%s is refused with what to do', (_how, pasted, type, words) => {
    expect(() => parseCozeCookie(pasted)).toThrow(expect.objectContaining({ type }))
    expect(() => parseCozeCookie(pasted)).toThrow(words)
  })
})
