import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT } from '../support/examples.js'

const TSC = join(ROOT, 'node_modules/typescript/bin/tsc')

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
  const output = await new Promise<string>((resolve, reject) => {
    // tap hands its loader down in NODE_OPTIONS, which the compiler has no use for
    execFile('env', ['-u', 'NODE_OPTIONS', process.execPath, TSC, '--pretty', 'false', '-p', folder], { cwd: folder }, (error, stdout, stderr) => {
      if (error !== null && stdout === '') reject(new Error(stderr, { cause: error }))
      else resolve(stdout)
    })
  })
  return output.split('\n').filter(line => /error TS\d+/.test(line))
}
