import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runCompiler } from '../support/compiler.js'
import { ROOT } from '../support/examples.js'

/**
 * Compiles files as a program of a user's.
 *
 * @param folder where they are written to
 * @param files their texts, by name, in the order in which the compiler gets them
 * @returns the lines of the compiler that tell of an error
 */
export async function compileProgram (folder: string, files: Record<string, string>, options: object): Promise<string[]> {
  await mkdir(folder, { recursive: true })
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      target: 'es2022',
      module: 'nodenext',
      strict: true,
      noEmit: true,
      types: ['node'],
      typeRoots: [join(ROOT, 'node_modules/@types')],
      ...options
    },
    files: Object.keys(files)
  }))
  const { output } = await runCompiler(['-p', folder], folder)
  return output.split('\n').filter(line => /error TS\d+/.test(line))
}
