import { useEffect, useRef, useState } from 'react'

/**
 * The text of a field that is kept in the address while it is typed. The field has every letter at once, the address a moment
 * later; taken from there, the cursor would jump to the end and an input method would lose what it composes.
 */
export function useAddressText(value: string, keep: (text: string) => void): [string, (text: string) => void] {
  const [text, setText] = useState(value)
  const onTheWay = useRef<string[]>([])
  useEffect(() => {
    const sent = onTheWay.current.indexOf(value)
    onTheWay.current = onTheWay.current.slice(sent + 1)
    // Not typed here: the browser went back, or a filter was cleared.
    if (sent === -1) setText(value)
  }, [value])
  const type = (typed: string) => {
    setText(typed)
    onTheWay.current.push(typed)
    keep(typed)
  }
  return [text, type]
}
