import type { ReactNode } from 'react'

/** A wide table: on a narrow screen it scrolls sideways, also by the keyboard and while it has nothing to focus in it. */
export function Wide({ label, children }: { label: string; children: ReactNode }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by the keyboard.
    <section className="panel sideways" aria-label={label} tabIndex={0}>
      {children}
    </section>
  )
}
