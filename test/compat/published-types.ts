import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { IS_THOROUGH } from '../support/thorough.js'
import { compileProgram } from './compile.js'
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
  const source = (await readFile(join(PUBLISHED, 'types/index.tst.ts'), 'utf8')).replace("from '.'", `from '${subject}'`)
  if (!source.includes(`from '${subject}'`)) throw new Error('the test of the types imports its package in another way than before')
  const output = await compileProgram(folder, { 'index.tst.cts': source }, {
    // That our declarations are right as a program sees them, test/pack/tarball.test.ts says each time.
    skipLibCheck: !IS_THOROUGH,
    paths: { tstyche: [fileURLToPath(new URL('tstyche.d.ts', import.meta.url))] }
  })
  const lines = source.split('\n')
  const errors: TypeError[] = []
  for (const error of output) {
    const [, line, message] = /^index\.tst\.cts\((\d+),\d+\): error (TS.*)$/.exec(error) ?? []
    // In a declaration, ours or somebody else's: nothing that a list could excuse.
    if (line === undefined) throw new Error(error)
    errors.push({ line: lines[Number(line) - 1]!.trim(), message: message! })
  }
  return errors
}
