import { useState } from 'react'

/**
 * The record as it was when its form was opened. Lists and records are read again all the time; a save that took the version of a
 * later reading would overwrite what another admin has changed meanwhile, unseen.
 */
export function useAsOpened<T extends object | null>(record: T): T {
  const [opened] = useState(record)
  return opened
}
