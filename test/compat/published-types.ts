import { execFile } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ROOT } from '../support/examples.js'
import { PUBLISHED } from './published-tests.js'

/** A statement of the published test of the types that does not compile. */
export interface TypeError {
  /** The line that the error is at, without indentation. */
  line: string
  message: string
}

/**
 * Compiles the test of the types that `@fastify/websocket` publishes with another package in its place.
 *
 * @param project a folder where `subject` is found
 * @returns what does not compile, or is of another type
 */
export async function compilePublishedTypes (project: string, subject: string): Promise<TypeError[]> {
  const folder = join(project, `${subject.replaceAll('/', '-')}-types`)
  await mkdir(folder, { recursive: true })
  const source = (await readFile(join(PUBLISHED, 'types/index.tst.ts'), 'utf8')).replace("from '.'", `from '${subject}'`)
  if (!source.includes(`from '${subject}'`)) throw new Error('the test of the types imports its package in another way than before')
  await writeFile(join(folder, 'index.tst.cts'), source)
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      target: 'es2022',
      module: 'nodenext',
      strict: true,
      noEmit: true,
      skipLibCheck: false,
      types: ['node'],
      typeRoots: [join(ROOT, 'node_modules/@types')],
      paths: { tstyche: [fileURLToPath(new URL('tstyche.d.ts', import.meta.url))] }
    },
    files: ['index.tst.cts']
  }))
  const lines = source.split('\n')
  const errors: TypeError[] = []
  for (const error of (await runTsc(folder)).split('\n').filter(line => /error TS\d+/.test(line))) {
    const [, line, message] = /^index\.tst\.cts\((\d+),\d+\): error (TS.*)$/.exec(error) ?? []
    // In a declaration, ours or somebody else's: nothing that a list could excuse.
    if (line === undefined) throw new Error(error)
    errors.push({ line: lines[Number(line) - 1]!.trim(), message: message! })
  }
  return errors
}

async function runTsc (folder: string): Promise<string> {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  return new Promise((resolve, reject) => {
    // tap hands its loader down in NODE_OPTIONS, which the compiler has no use for
    execFile('env', ['-u', 'NODE_OPTIONS', process.execPath, tsc, '--pretty', 'false', '-p', folder], { cwd: folder }, (error, stdout, stderr) => {
      if (error !== null && stdout === '') reject(new Error(stderr, { cause: error }))
      else resolve(stdout)
    })
  })
}
