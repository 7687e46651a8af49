// node --import tsx scripts/build.ts [FOLDER]
//
// Builds the package into a folder, by default dist/: one CommonJS file with all that the plugin is made of, one for each
// subpath (`fastify-ws-routes/redis`), the entries of both module systems on them, and their declarations.
// docs/internals/decisions.md says why.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build as bundle, type BuildOptions, type Plugin } from 'esbuild'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const TSC = join(ROOT, 'node_modules/typescript-7/bin/tsc')

/** Folders of lib/ that are entries of their own: each is loaded only by an app that imports it. */
const SUBPATHS = ['redis', 'nats', 'broker-tests', 'client']

/** By which the plugin is exported besides `default`. */
const PLUGIN_NAMES = ['fastifyWebsocket', 'fastifyWsRoutes']

/** The names that a module exports, besides `default`. */
interface Names {
  values: string[]
  /** Types, by the module that has them. */
  types: Map<string, string[]>
}

/** @param folder is emptied first */
export async function buildPackage (folder = join(ROOT, 'dist')): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  const entries = join(folder, 'lib')
  await mkdir(entries, { recursive: true })
  await Promise.all([bundlePlugin(join(entries, 'bundle.js')), ...SUBPATHS.map(name => bundleSubpath(name, entries)), emitDeclarations(folder)])
  // tsc has written what lib/index.ts exports
  const declared = await readFile(join(entries, 'index.d.ts'), 'utf8')
  const names = await namesOf(declared, entries)
  await Promise.all([
    writeFile(join(folder, 'package.json'), '{ "type": "commonjs" }\n'),
    writeFile(join(entries, 'index.js'), commonJsEntry(names)),
    writeFile(join(entries, 'index.mjs'), esmEntry(names)),
    writeFile(join(entries, 'index.d.ts'), commonJsDeclarations(declared, names)),
    writeFile(join(entries, 'index.d.mts'), esmDeclarations(declared)),
    ...SUBPATHS.map(name => writeSubpathEntry(join(entries, name)))
  ])
  await bundleClient(join(entries, 'client/index.mjs'))
  await removeUnused(folder, ['.', ...SUBPATHS].flatMap(path => ['index.d.ts', 'index.d.mts'].map(name => join(entries, path, name))))
}

const BUNDLE: BuildOptions = {
  absWorkingDir: ROOT,
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  logLevel: 'warning'
}

/**
 * One file: a call of another module's function is then a call of a local one, and the package loads with one read. It exports
 * the catalogue of errors too, for the subpaths.
 */
async function bundlePlugin (outfile: string): Promise<void> {
  const contents = "export * from './lib/index.js'\nexport { default } from './lib/index.js'\nexport * as errors from './lib/errors.js'\n"
  await bundle({ ...BUNDLE, stdin: { contents, resolveDir: ROOT, loader: 'ts' }, outfile })
}

async function bundleSubpath (name: string, entries: string): Promise<void> {
  await bundle({ ...BUNDLE, entryPoints: [`lib/${name}/index.ts`], outfile: join(entries, name, 'index.js'), plugins: [SHARED_ERRORS] })
}

/** Pages load it as it is, or through a bundler that leaves out the half that they do not use. */
async function bundleClient (outfile: string): Promise<void> {
  await bundle({ ...BUNDLE, entryPoints: ['lib/client/index.ts'], outfile, platform: 'neutral', format: 'esm', target: 'es2022', sourcemap: 'linked' })
}

/** Takes lib/errors.ts from the plugin's bundle, so that a process has each class of error once. */
const SHARED_ERRORS: Plugin = {
  name: 'shared-errors',
  setup (build) {
    build.onResolve({ filter: /\/errors\.js$/ }, ({ path, resolveDir }) =>
      resolve(resolveDir, path) === join(ROOT, 'lib/errors.js') ? { path, namespace: 'shared-errors' } : null)
    build.onLoad({ filter: /./, namespace: 'shared-errors' }, () => ({ contents: "module.exports = require('../bundle.js').errors" }))
    build.onResolve({ filter: /./, namespace: 'shared-errors' }, ({ path }) => ({ path, external: true }))
  }
}

async function emitDeclarations (outDir: string): Promise<void> {
  const args = [TSC, '-p', join(ROOT, 'tsconfig.build.json'), '--outDir', outDir, '--pretty', 'false']
  try {
    // tap hands its loader down in NODE_OPTIONS, with which the compiler cannot be loaded
    await promisify(execFile)(process.execPath, args, { env: { ...process.env, NODE_OPTIONS: '' } })
  } catch (err) {
    throw new Error(`tsc failed\n${(err as { stdout?: string }).stdout}`, { cause: err })
  }
}

// --- the names that are exported

function parse (text: string): ts.SourceFile {
  return ts.createSourceFile('index.d.ts', text, ts.ScriptTarget.Latest, true)
}

async function namesOf (declared: string, folder: string): Promise<Names> {
  const names: Names = { values: [], types: new Map() }
  for (const statement of parse(declared).statements) {
    if (!ts.isExportDeclaration(statement)) continue
    const module = statement.moduleSpecifier && (statement.moduleSpecifier as ts.StringLiteral).text
    if (statement.exportClause !== undefined) {
      names.values.push(...namesIn(statement))
    } else {
      const text = await readFile(join(folder, declarationsOf(module!)), 'utf8')
      names.types.set(module!, parse(text).statements.flatMap(namesIn))
    }
  }
  return names
}

function namesIn (statement: ts.Statement): string[] {
  if (ts.isExportDeclaration(statement)) {
    const clause = statement.exportClause
    if (clause === undefined || !ts.isNamedExports(clause)) throw new Error(`the build does not understand: ${statement.getText()}`)
    return clause.elements.map(element => element.name.text)
  }
  const isExported = ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.some(modifier => modifier.kind === ts.SyntaxKind.ExportKeyword)
  if (isExported !== true) return []
  if (!ts.isInterfaceDeclaration(statement) && !ts.isTypeAliasDeclaration(statement)) throw new Error(`the build does not understand: ${statement.getText()}`)
  return [statement.name.text]
}

const declarationsOf = (module: string): string => module.replace(/\.js$/, '.d.ts')

// --- the entries

function commonJsEntry ({ values }: Names): string {
  return `'use strict'

const bundle = require('./bundle.js')

module.exports = bundle.default
module.exports.default = bundle.default
${values.map(name => `module.exports.${name} = bundle.${name}\n`).join('')}`
}

/** Everything comes from the CommonJS entry, so that a process has each class and each state once. */
function esmEntry ({ values }: Names): string {
  return `import plugin from './index.js'

export default plugin
export const {
${values.map(name => `  ${name}`).join(',\n')}
} = plugin
`
}

/** The entry of a subpath for `import`; the bundle itself and the compiler's declarations are those for `require`. */
async function writeSubpathEntry (folder: string): Promise<void> {
  const values = parse(await readFile(join(folder, 'index.d.ts'), 'utf8')).statements.flatMap(valuesIn)
  const names = values.length === 0 ? '' : `\nexport const { ${values.join(', ')} } = bundle\n`
  await Promise.all([
    writeFile(join(folder, 'index.mjs'), `import bundle from './index.js'\n${names}`),
    writeFile(join(folder, 'index.d.mts'), "export * from './index.js'\n")
  ])
}

/** The names of a statement of declarations that are there when it runs. */
function valuesIn (statement: ts.Statement): string[] {
  if (ts.isExportDeclaration(statement)) return statement.isTypeOnly ? [] : namesIn(statement)
  const isExported = ts.canHaveModifiers(statement) && ts.getModifiers(statement)?.some(modifier => modifier.kind === ts.SyntaxKind.ExportKeyword)
  if (isExported !== true) return []
  if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) return [statement.name!.text]
  return ts.isVariableStatement(statement) ? statement.declarationList.declarations.map(({ name }) => name.getText()) : []
}

/** The form that packages of Fastify have: a function, and a namespace for the other exports. */
function commonJsDeclarations (declared: string, { values, types }: Names): string {
  const plugins = ['default', ...PLUGIN_NAMES]
  const alias = (name: string): string => `${name} as ${name}_`
  const imports = parse(declared).statements.filter(ts.isExportDeclaration).flatMap(statement => {
    if (statement.moduleSpecifier === undefined) return []
    const module = (statement.moduleSpecifier as ts.StringLiteral).text
    const isType = types.has(module)
    const names = types.get(module) ?? namesIn(statement)
    return [`import ${isType ? 'type ' : ''}{ ${names.map(alias).join(', ')} } from '${module}'`]
  })
  const exported = [...values.filter(name => !PLUGIN_NAMES.includes(name)), ...[...types.values()].flat()]
  return `import { plugin } from './plugin.js'
${imports.join('\n')}

declare function websocketRoutes (...args: Parameters<typeof plugin>): ReturnType<typeof plugin>

declare namespace websocketRoutes {
  export {
${plugins.map(name => `    websocketRoutes as ${name}`).join(',\n')},
${exported.map(name => `    ${name}_ as ${name}`).join(',\n')}
  }
}

export = websocketRoutes
`
}

function esmDeclarations (declared: string): string {
  const own = "import { plugin } from './plugin.js'"
  if (!declared.includes(own)) throw new Error('the build does not understand the declarations of lib/index.ts')
  return declared.replace(own, "import plugin from './index.js'")
}

// --- declarations of modules that the public types do not mention

async function removeUnused (folder: string, entries: string[]): Promise<void> {
  const used = new Set(entries)
  for (const file of used) {
    for (const { fileName } of ts.preProcessFile(await readFile(file, 'utf8')).importedFiles) {
      if (!fileName.startsWith('.')) continue
      const path = resolve(dirname(file), declarationsOf(fileName))
      if (!existsSync(path)) throw new Error(`${relative(folder, file)} imports ${fileName}, which is not there`)
      used.add(path)
    }
  }
  const paths = (await readdir(folder, { recursive: true })).map(name => join(folder, name))
  await Promise.all(paths.filter(path => path.endsWith('.d.ts') && !used.has(path)).map(path => rm(path)))
  // the innermost folders first
  for (const path of paths.sort((a, b) => b.length - a.length)) {
    const names = await readdir(path).catch(() => null)
    if (names?.length === 0) await rmdir(path)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildPackage(process.argv[2] === undefined ? undefined : resolve(process.argv[2]))
