import { useEffect } from 'react'

/** What the browser's tab says: this page, then the product. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Toolferry`
  }, [title])
}
