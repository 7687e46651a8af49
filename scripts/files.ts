import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './prepare.js'

/**
 * The files of a folder and of those below it, without installed packages and hidden folders, and without links: packages of
 * the suites link to this repository, and a recursive `readdir` of Node 20 follows them without an end.
 *
 * @param folder from the root of the repository, as the results are
 */
export function filesIn (folder: string, root = ROOT): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap(entry => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' || entry.name.startsWith('.') ? [] : filesIn(path, root)
    return entry.isFile() ? [path] : []
  })
}
