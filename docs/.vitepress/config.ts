import { copyFileSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { defineConfig, type DefaultTheme, type MarkdownOptions } from 'vitepress'
import { accessibleSearch } from './accessible-search.js'
import { DOCS, linkOnSite, REPOSITORY, ROOT, slugify } from './links.js'
import { GROUPS, REFERENCE } from './pages.js'

type MarkdownIt = Parameters<NonNullable<MarkdownOptions['config']>>[0]

const guide: DefaultTheme.SidebarItem[] = GROUPS.map(({ text, pages }) => ({
  text,
  items: Object.entries(pages).map(([page, text]) => ({ text, link: `/${page}` }))
}))

const reference: DefaultTheme.SidebarItem = {
  text: 'API reference',
  items: Object.entries(REFERENCE).map(([page, text]) => ({ text, link: `/api/${page}` }))
}

/** Leads links in the files of docs/, which are made for GitHub, to pages of the site. */
function translateLinks (md: MarkdownIt): void {
  md.core.ruler.push('links_on_site', ({ tokens, env }) => {
    for (const { children } of tokens) {
      const open: boolean[] = []
      for (const token of children ?? []) {
        if (token.type === 'link_open') {
          const href = linkOnSite(env.relativePath, token.attrGet('href')!)
          open.push(href !== null)
          if (href === null) token.type = 'unlinked_open'
          else token.attrSet('href', href)
        } else if (token.type === 'link_close' && open.pop() === false) {
          token.type = 'unlinked_close'
        }
      }
    }
  })
  // The sources are nowhere to be read: the text says which file it is.
  md.renderer.rules.unlinked_open = (tokens, index) => `<span title="${md.utils.escapeHtml(tokens[index]!.attrGet('href')!)} in the sources">`
  md.renderer.rules.unlinked_close = () => '</span>'
}

/** A table that is wider than a phone scrolls, for which the keyboard needs something to focus. */
function letTablesScroll (md: MarkdownIt): void {
  md.renderer.rules.table_open = () => '<div class="table" tabindex="0" role="region" aria-label="Table"><table>\n'
  md.renderer.rules.table_close = () => '</table></div>\n'
}

interface Feature {
  title: string
  details: string
  link: string
  linkText: string
}

/** The reasons that the README gives, each with its link. */
function findReasons (): Feature[] {
  const readme = readFileSync(join(ROOT, 'README.md'), 'utf8')
  const section = readme.split('## Why switch\n')[1]!.split('\n## ')[0]!
  return [...section.matchAll(/^- \*\*(.+?)\.\*\* (.+): \[(.+?)\]\((.+?)\)\.$/gm)].map(([, title, details, text, href]) => ({
    title: title!,
    details: `${details!.replace(/\*\*(.+?)\*\*/g, '<strong>$1</strong>').replace(/`(.+?)`/g, '<code>$1</code>')}.`,
    link: linkOnSite('index.md', href!)!.replace(/\.md\b/, ''),
    linkText: text![0]!.toUpperCase() + text!.slice(1)
  }))
}

export default defineConfig({
  title: 'fastify-ws-routes',
  description: 'WebSocket routes for Fastify: RFC 6455 and permessage-deflate, over HTTP/1.1 and HTTP/2, without a WebSocket library underneath',
  lang: 'en',
  base: process.env.DOCS_BASE ?? '/',
  // Packages that are installed into this folder have Markdown files too.
  srcExclude: ['**/node_modules/**'],
  lastUpdated: false,
  // The quick start opens a page of the reader's own server. All other links have to lead somewhere.
  ignoreDeadLinks: 'localhostLinks',
  head: [['link', { rel: 'icon', type: 'image/svg+xml', href: `${process.env.DOCS_BASE ?? '/'}icon.svg` }]],
  buildEnd ({ outDir }) {
    // Links to images leave them where they are.
    for (const name of readdirSync(DOCS)) if (name.endsWith('.svg')) copyFileSync(join(DOCS, name), join(outDir, name))
  },
  transformPageData (page) {
    if (page.relativePath === 'index.md') page.frontmatter.features = findReasons()
  },
  vite: { plugins: [accessibleSearch()] },
  markdown: {
    anchor: { slugify },
    // The contrast of the default theme for light pages is below 4.5 to 1 for comments and some strings.
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' },
    languageAlias: { cjs: 'js', haproxy: 'ini', caddyfile: 'nginx' },
    config (md) {
      translateLinks(md)
      letTablesScroll(md)
    }
  },
  themeConfig: {
    outline: { level: [2, 3] },
    search: {
      provider: 'local',
      options: {
        detailedView: false,
        // TypeDoc gives these a heading for each member: as results they lead nowhere.
        _render: (source, env, md) => md.render(source, env).replace(/<h(\d)[^>]*>(?:Inherited from|See)\b.*?<\/h\1>/gs, ''),
        // The plugin's options and the route's come before those that imitate another plugin.
        miniSearch: { searchOptions: { boostDocument: id => id.includes('Compatibility') ? 0.5 : 1 } }
      }
    },
    nav: [
      { text: 'Guide', link: '/getting-started', activeMatch: '^/(?!api/|project/|$)' },
      { text: 'API', link: '/api/index', activeMatch: '^/api/' },
      { text: 'Changelog', link: '/project/changelog' }
    ],
    sidebar: [...guide.slice(0, -1), reference, ...guide.slice(-1)],
    socialLinks: REPOSITORY === null ? [] : [{ icon: 'github', link: REPOSITORY }],
    docFooter: { prev: 'Before', next: 'Next' },
    footer: { message: 'Released under the MIT License.' }
  }
})
