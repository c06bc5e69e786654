import { type CSSProperties, type ReactNode, type RefObject, useLayoutEffect, useRef, useState } from 'react'

type Props = {
  /** What scrolls, for who comes to it by the keyboard. */
  label: string
  /** Below this its columns break no further, px; 'content': they do not break at all. */
  min?: number | 'content'
  className?: string
  children: ReactNode
}

/**
 * A wide table: where it is wider than the window its frame scrolls sideways, also by the keyboard and while it has nothing to
 * focus in it. Where all of it is seen the frame is no stop of Tab and no landmark.
 */
export function Wide({ label, min = 860, className = '', children }: Props) {
  const frame = useRef<HTMLElement>(null)
  const inner = useRef<HTMLDivElement>(null)
  const overflows = useOverflow(frame, inner)
  const reachable = overflows ? { tabIndex: 0, 'aria-label': label } : {}
  const style = { '--wide': min === 'content' ? 'max-content' : `${min}px` } as CSSProperties
  return (
    <section ref={frame} className={`panel sideways ${className}`} style={style} {...reachable}>
      <div ref={inner} className={min === 'content' ? 'sideways-inner sideways-whole' : 'sideways-inner'}>
        {children}
      </div>
    </section>
  )
}

/** Whether what is in the frame is wider than the frame, now and after either has changed its size. */
function useOverflow(frame: RefObject<HTMLElement | null>, inner: RefObject<HTMLElement | null>): boolean {
  const [overflows, setOverflows] = useState(false)
  useLayoutEffect(() => {
    const [outside, inside] = [frame.current, inner.current]
    if (outside === null || inside === null) return
    const observer = new ResizeObserver(() => setOverflows(outside.scrollWidth > outside.clientWidth))
    observer.observe(outside)
    observer.observe(inside)
    return () => observer.disconnect()
  }, [frame, inner])
  return overflows
}
