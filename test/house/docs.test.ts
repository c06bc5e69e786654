import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

/** What the documentation points to is there, and what is there is pointed to. */

const root = resolve(import.meta.dirname, '../..')
const markdown = (folder: string) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))
const DOCUMENTS = ['README.md', 'console/README.md', ...markdown('docs')]
const IMAGES = join(root, 'docs/images')
const KIB = 1024

const read = (file: string) => readFileSync(join(root, file), 'utf8')
/** Code is not for following. */
const prose = (text: string) => text.replaceAll(/^( *)```[\s\S]*?^\1```/gm, '').replaceAll(/`[^`\n]*`/g, 'code')

type Link = { file: string; target: string }

function linksOf(file: string): Link[] {
  const text = prose(read(file))
  return [...text.matchAll(/\]\(([^)\s]+)\)|\bsrc="([^"]+)"/g)].map(([, link, source]) => ({
    file,
    target: link ?? source ?? '',
  }))
}

const links = DOCUMENTS.flatMap(linksOf).filter(({ target }) => !/^(https?|mailto):/.test(target))

/** As GitHub makes them of headings. */
function anchorsOf(file: string): string[] {
  return [...read(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .trim()
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

describe('the documentation', () => {
  it('points only to files and headings that are there', () => {
    expect(links.length).toBeGreaterThan(100)
    const broken = links.filter(({ file, target }) => {
      const [path = '', anchor] = target.split('#')
      const full = path === '' ? join(root, file) : resolve(root, dirname(file), decodeURIComponent(path))
      if (!existsSync(full)) return true
      return anchor !== undefined && full.endsWith('.md') && !anchorsOf(relative(root, full)).includes(anchor)
    })
    expect(broken).toEqual([])
  })

  it('uses every picture that is there, and pictures are small', () => {
    const used = new Set(links.map(({ file, target }) => resolve(root, dirname(file), target)))
    const pictures = readdirSync(IMAGES)
    expect(pictures.filter((name) => !used.has(join(IMAGES, name)))).toEqual([])
    const sizes = pictures.map((name) => statSync(join(IMAGES, name)).size)
    expect(Math.max(...sizes)).toBeLessThan(60 * KIB)
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(3 * KIB * KIB)
  })

  it('has each guide in both languages, with the same chapters and the pictures of its language', () => {
    const guides = markdown('docs/guides').filter((file) => existsSync(join(root, file.replace(/\.md$/, '.zh.md'))))
    expect(guides.map((file) => basename(file)).sort()).toEqual(['coze.md', 'dify.md'])
    for (const file of guides) {
      const chinese = file.replace(/\.md$/, '.zh.md')
      const pictures = (of: string) =>
        linksOf(of).flatMap(({ target }) => /images\/(.+)\.webp$/.exec(target)?.[1] ?? [])
      expect(pictures(chinese)).toEqual(pictures(file).map((name) => name.replace(/\.en$/, '.zh')))
      expect(pictures(file).every((name) => name.endsWith('.en'))).toBe(true)
      expect(anchorsOf(chinese)).toHaveLength(anchorsOf(file).length)
    }
  })
})
