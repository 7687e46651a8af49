import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'

/** A link of a page that leads nowhere. */
export interface BrokenLink {
  /** The path of the page below the folder of the site. */
  page: string
  href: string
  why: string
}

/** The anchors and the links of a page. */
interface Page {
  ids: Set<string>
  /** The values of `href` and `src` of all elements. */
  links: Set<string>
}

const ENTITIES: Record<string, string> = { '&amp;': '&', '&quot;': '"', '&#39;': "'", '&lt;': '<', '&gt;': '>' }

function unescape (text: string): string {
  return text.replace(/&(?:amp|quot|#39|lt|gt);/g, entity => ENTITIES[entity]!)
}

function parse (html: string): Page {
  const page: Page = { ids: new Set(), links: new Set() }
  for (const [tag] of html.matchAll(/<[a-z][^\s/>]*(?:\s+[^\s=>]+(?:="[^"]*")?)*\s*\/?>/gi)) {
    for (const [, name, value] of tag.matchAll(/\s(id|href|src)="([^"]*)"/gi)) {
      (name!.toLowerCase() === 'id' ? page.ids : page.links).add(unescape(value!))
    }
  }
  return page
}

/**
 * Checks each link of a built site: that the file is there, and the anchor. It reads the HTML, so that it sees the links of the
 * theme too. Links to other sites are left alone.
 *
 * @param folder with the site
 * @param base the path below which the site is served
 */
export async function brokenLinks (folder: string, base = process.env.DOCS_BASE ?? '/'): Promise<BrokenLink[]> {
  const files = (await readdir(folder, { recursive: true })).filter(name => name.endsWith('.html')).map(name => name.split(sep).join('/'))
  const pages = new Map(await Promise.all(files.map(async name => [name, parse(await readFile(join(folder, name), 'utf8'))] as const)))
  const broken: BrokenLink[] = []
  for (const [page, { links }] of pages) {
    for (const href of links) {
      const url = new URL(href, `http://site${base}${page}`)
      if (url.host !== 'site' || url.protocol !== 'http:') continue
      const report = (why: string): void => { broken.push({ page, href, why }) }
      if (!url.pathname.startsWith(base)) {
        report(`is not below ${base}`)
        continue
      }
      const path = decodeURIComponent(url.pathname.slice(base.length))
      const name = path === '' || path.endsWith('/') ? `${path}index.html` : path
      const target = pages.get(name)
      const anchor = decodeURIComponent(url.hash.slice(1))
      if (target === undefined && !existsSync(join(folder, name))) report('no such page')
      else if (target !== undefined && anchor !== '' && !target.ids.has(anchor)) report(`no such anchor in ${relative('.', name)}`)
    }
  }
  return broken
}
