export type ColorScheme = 'light' | 'dark'

/** Every colour of the console, for Ant Design's tokens and for our own style sheets (as --tf-… on the root). */
export type Palette = Record<
  | 'page'
  | 'surface'
  | 'sunken'
  | 'raised'
  | 'line'
  | 'strongLine'
  | 'text'
  | 'muted'
  | 'faint'
  | 'accent'
  | 'accentSoft'
  | 'onAccent'
  | 'good'
  | 'goodSoft'
  | 'warn'
  | 'warnSoft'
  | 'bad'
  | 'badSoft'
  | 'busy'
  | 'busySoft',
  string
>

export const PALETTES: Record<ColorScheme, Palette> = {
  light: {
    page: '#f6f7f8',
    surface: '#ffffff',
    sunken: '#f2f4f5',
    raised: '#ffffff',
    line: '#e3e7ea',
    strongLine: '#c9d1d6',
    text: '#17222b',
    muted: '#51606c',
    faint: '#586570',
    accent: '#0b5f6e',
    accentSoft: '#e2f0f2',
    onAccent: '#ffffff',
    good: '#1a6b3c',
    goodSoft: '#e4f3e9',
    warn: '#8a5200',
    warnSoft: '#fdf1dc',
    bad: '#b0262a',
    badSoft: '#fce8e8',
    busy: '#1f55a5',
    busySoft: '#e5eefb',
  },
  dark: {
    page: '#0e1418',
    surface: '#141c21',
    sunken: '#10171b',
    raised: '#1a242a',
    line: '#26323a',
    strongLine: '#3a4952',
    text: '#e3e9ed',
    muted: '#a3b1bb',
    faint: '#8b9aa5',
    accent: '#4fb6c4',
    accentSoft: '#0f2c32',
    onAccent: '#06191d',
    good: '#63c48a',
    goodSoft: '#12301f',
    warn: '#e0a54a',
    warnSoft: '#35270d',
    bad: '#f0817f',
    badSoft: '#3b1a1b',
    busy: '#84b2f2',
    busySoft: '#172a45',
  },
}
