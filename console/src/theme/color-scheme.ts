import { useSyncExternalStore } from 'react'
import { type ColorScheme, PALETTES } from './palette.ts'

/** Dark or light: what was chosen here, else what the system has, followed as it changes. */

export type ColorChoice = ColorScheme | 'system'

const STORAGE_KEY = 'toolferry.colors'
const dark = window.matchMedia('(prefers-color-scheme: dark)')
const listeners = new Set<() => void>()

let choice: ColorChoice = stored()
apply()
dark.addEventListener('change', changed)

export function useColorScheme(): ColorScheme {
  return useSyncExternalStore(subscribe, scheme)
}

export function useColorChoice(): ColorChoice {
  return useSyncExternalStore(subscribe, () => choice)
}

export function chooseColors(next: ColorChoice): void {
  choice = next
  window.localStorage.setItem(STORAGE_KEY, next)
  changed()
}

function scheme(): ColorScheme {
  if (choice !== 'system') return choice
  return dark.matches ? 'dark' : 'light'
}

function changed(): void {
  apply()
  for (const listener of listeners) listener()
}

function apply(): void {
  const root = document.documentElement
  root.dataset.colors = scheme()
  root.style.colorScheme = scheme()
  for (const [name, color] of Object.entries(PALETTES[scheme()])) {
    root.style.setProperty(`--tf-${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, color)
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

function stored(): ColorChoice {
  const text = window.localStorage.getItem(STORAGE_KEY)
  return text === 'light' || text === 'dark' ? text : 'system'
}
