import type { Plugin } from 'vite'

/**
 * The search of the theme calls its dialog a button, and its results options with a link inside, whose names leave out what
 * is to be seen: axe calls both serious. What it is: a dialog with a list of links.
 */
const CHANGES: ReadonlyArray<readonly [from: RegExp, to: string]> = [
  [/role="button"\s+:aria-owns="[^"]*"\s+aria-expanded="true"\s+aria-haspopup="listbox"/, 'role="dialog" aria-modal="true"'],
  [/:aria-activedescendant="[^"]*"\s+aria-autocomplete="both"/, ''],
  [/:role="results\?\.length \? 'listbox' : undefined"/, ''],
  [/:aria-selected="[^"]*"\s+role="option"/, ''],
  [/:aria-label="\[\.\.\.p\.titles, p\.title\]\.join\(' > '\)"/, ':aria-current="selectedIndex === index"'],
  [/<kbd :aria-label/g, '<kbd role="img" :aria-label'],
  [/<span class="title-icon">/, '<span class="title-icon" aria-hidden="true">']
]

/** Changes the template before Vue compiles it. Fails when another version of the theme has other words. */
export function accessibleSearch (): Plugin {
  return {
    name: 'accessible-search',
    enforce: 'pre',
    transform (code, id) {
      if (!id.endsWith('/VPLocalSearchBox.vue')) return
      return CHANGES.reduce((code, [from, to]) => {
        if (code.search(from) < 0) throw new Error(`accessible-search: the template of the theme has no ${from.source}`)
        return code.replace(from, to)
      }, code)
    }
  }
}
