import { useSyncExternalStore } from 'react'

const still = window.matchMedia('(prefers-reduced-motion: reduce)')

/** False where the system asks for less motion; followed as it changes. */
export function useMotion(): boolean {
  return useSyncExternalStore(subscribe, () => !still.matches)
}

function subscribe(listener: () => void): () => void {
  still.addEventListener('change', listener)
  return () => still.removeEventListener('change', listener)
}
