import { unbindable } from './codes.ts'
import type { Fault } from './fault-types.ts'
import type { World } from './world.ts'

/** One call, as an endpoint sees it: who calls, with what. */
export type Call = {
  world: World
  userId: string
  body: Record<string, unknown>
  query: URLSearchParams
  /** The faults that are the endpoint's own to play (a stuck cursor, no tools). */
  fault<K extends Fault['kind']>(kind: K): Extract<Fault, { kind: K }> | undefined
  /** How long what it changes takes to reach the list, in ms of the clock. */
  lagMs: number
  /** `Agw-Js-Conv: str`: annotated 64-bit integers that are no ids become strings (§2 conventions). */
  longsAsText: boolean
  /** To be called once the world has changed. */
  changed(): void
}

/** The payload, merged into `{code: 0, msg}`. */
export type Payload = Record<string, unknown>

export type Endpoint = {
  method: 'GET' | 'POST'
  /** Changes plugins: counts as a write. */
  writes?: boolean
  handle(call: Call): Payload | Promise<Payload>
}

/** Absent and null are the same. Throws HTTP 400 for what does not bind to the field's type. */
export function optionalText(call: Call, field: string): string | undefined {
  const value = call.body[field]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw unbindable(field)
  return value
}

export function requiredText(call: Call, field: string): string {
  const value = optionalText(call, field)
  if (value === undefined || value === '') throw unbindable(`${field} is required`)
  return value
}

/** An id: a string of digits (64-bit ids are strings in both directions, §2). */
export function requiredId(call: Call, field: string): string {
  const value = requiredText(call, field)
  if (!/^\d{1,20}$/.test(value)) throw unbindable(field)
  return value
}

export function optionalInt(call: Call, field: string): number | undefined {
  const value = call.body[field]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw unbindable(field)
  return value
}

export function optionalBool(call: Call, field: string): boolean | undefined {
  const value = call.body[field]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'boolean') throw unbindable(field)
  return value
}

export function optionalInts(call: Call, field: string): number[] | undefined {
  const value = call.body[field]
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value) || !value.every((item) => Number.isSafeInteger(item))) throw unbindable(field)
  return value
}

export function optionalTexts(call: Call, field: string): string[] | undefined {
  const value = call.body[field]
  if (value === undefined || value === null) return undefined
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw unbindable(field)
  return value
}

/** A page of `items`; `page` from 1. */
export function pageOf<T>(items: T[], page: number, size: number): T[] {
  if (page < 1 || size < 1) throw unbindable('page, size')
  return items.slice((page - 1) * size, page * size)
}

/** A 64-bit integer that is no id, as this caller gets it. */
export function long(call: Call, value: number | string): number | string {
  return call.longsAsText ? String(value) : Number(value)
}
