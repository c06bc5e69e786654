import type { Terminal } from './terminal.ts'

/** What the demo claims, checked while it says it. */
export type Expectations = {
  /** Prints the claim with its verdict, and remembers it if it does not hold. Answers the verdict. */
  expect(holds: boolean, claim: string, otherwise?: string): boolean
  failed(): string[]
}

export function createExpectations(terminal: Terminal): Expectations {
  const broken: string[] = []
  return {
    expect: (holds, claim, otherwise) => {
      if (holds) terminal.ok(claim)
      else {
        const text = otherwise === undefined ? claim : `${claim} — ${otherwise}`
        terminal.bad(text)
        broken.push(text)
      }
      return holds
    },
    failed: () => [...broken],
  }
}
