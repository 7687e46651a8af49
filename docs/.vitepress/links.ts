import { existsSync, readFileSync } from 'node:fs'
import { dirname, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const DOCS = fileURLToPath(new URL('..', import.meta.url))
export const ROOT = resolve(DOCS, '..')

/** Files at the root that are pages of the site too, and the README, in whose place the site has its home page. */
const FROM_ROOT: Record<string, string> = {
  'README.md': '/',
  'CHANGELOG.md': '/project/changelog.md',
  'CONTRIBUTING.md': '/project/contributing.md',
  'SECURITY.md': '/project/security-policy.md'
}

/** Where the sources can be read, if package.json says so. */
function findRepository (): string | null {
  const { repository } = JSON.parse(readFileSync(resolve(ROOT, 'package.json'), 'utf8')) as { repository?: string | { url: string } }
  const url = typeof repository === 'string' ? repository : repository?.url
  return url === undefined ? null : url.replace(/^git\+/, '').replace(/\.git$/, '')
}

export const REPOSITORY = findRepository()

/** The anchor of a heading, as GitHub makes it: links in the files of docs/ work there and on the site. */
export function slugify (heading: string): string {
  return heading.trim().toLowerCase().replace(/[^\p{L}\p{N}_\- ]/gu, '').replaceAll(' ', '-')
}

/**
 * The target on the site of a link in a Markdown file; `null` if the site does not have it, since it leads to a source file and
 * nobody knows where the sources can be read.
 *
 * @param page the path of the file below docs/
 * @throws {Error} if the target is not there
 */
export function linkOnSite (page: string, href: string): string | null {
  if (/^(?:[a-z]+:|\/|#)/i.test(href)) return href
  const [path, hash] = href.split('#') as [string, string | undefined]
  // The home page and those in project/ include files of the root.
  const base = page === 'index.md' || page.startsWith('project/') ? ROOT : resolve(DOCS, dirname(page))
  const target = resolve(base, decodeURI(path))
  if (!existsSync(target)) throw new Error(`docs/${page} has a dead link: ${href}`)
  const anchor = hash === undefined ? '' : `#${hash}`
  const name = relative(ROOT, target).split(sep).join('/')
  const fromRoot = FROM_ROOT[name]
  if (fromRoot !== undefined) return fromRoot + anchor
  if (name.startsWith('docs/') && /\.(?:md|svg|png)$/.test(name)) return name.slice('docs'.length) + anchor
  return REPOSITORY === null ? null : `${REPOSITORY}/blob/main/${name}${anchor}`
}
