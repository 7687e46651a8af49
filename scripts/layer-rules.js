// The rules of ESLint for scripts/layers.js.

import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { layerOf, LAYERS } from './layers.js'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const TABLE = 'The table is in scripts/layers.js, the reasons in docs/architecture.md.'

const names = LAYERS.map(({ name }) => name)

/** Why a file may not import a module, or null. */
function complaint (file, specifier) {
  const from = LAYERS[names.indexOf(layerOf(file))]
  if (from === undefined) return `'${layerOf(file)}' is no layer: give it a place in the table.`
  if (specifier.startsWith('.')) return complaintAboutFile(file, from.name, resolve(file, specifier))
  if (specifier.startsWith('node:')) {
    return (from.node ?? []).includes(specifier.slice('node:'.length)) ? null : `${from.name} may not use '${specifier}'.`
  }
  const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/')
  return (from.packages ?? []).includes(name) ? null : `${from.name} may not use the package '${name}'.`
}

function complaintAboutFile (file, from, target) {
  const to = layerOf(target)
  if (!names.includes(to)) return `'${to}' is no layer: give it a place in the table.`
  if (from === to || names.indexOf(from) < names.indexOf(to)) return null
  return `${from} may not import from ${to}: imports point down only, and ${to} is above ${from}.`
}

/** @returns {string} the file that a relative import means, below the root */
function resolve (file, specifier) {
  return posix.join(posix.dirname(file), specifier).replace(/\.js$/, '.ts')
}

// --- circles

let graph

/** Returns the files of lib/ and types/ that a file imports, `import type` included. */
function importsOf (file) {
  graph ??= new Map(['lib', 'types'].flatMap(filesIn).map(name => {
    const source = readFileSync(join(ROOT, name), 'utf8')
    const specifiers = [...source.matchAll(/^(?:import|export)\s[^'"`;]*?from '(\.[^']+)'|\bimport\('(\.[^']+)'\)|^import '(\.[^']+)'/gm)]
    return [name, specifiers.map(found => resolve(name, found[1] ?? found[2] ?? found[3]))]
  }))
  return graph.get(file) ?? []
}

function filesIn (folder) {
  return readdirSync(join(ROOT, folder), { recursive: true })
    .filter(name => name.endsWith('.ts'))
    .map(name => `${folder}/${name.split(sep).join('/')}`)
}

/** The shortest way from one file to another along imports, both ends included; null if there is none. */
function pathBetween (start, end) {
  const cameFrom = new Map([[start, null]])
  for (const file of cameFrom.keys()) {
    if (file === end) {
      const path = []
      for (let at = end; at !== null; at = cameFrom.get(at)) path.unshift(at)
      return path
    }
    for (const next of importsOf(file)) if (!cameFrom.has(next)) cameFrom.set(next, file)
  }
  return null
}

// --- rules

/** A rule that looks at each module that a file imports, in whatever form. */
function ruleOnImports (check) {
  return {
    meta: { type: 'problem', schema: [] },
    create (context) {
      const file = relative(ROOT, context.filename).split(sep).join('/')
      const visit = source => {
        if (source?.type !== 'Literal') return
        const message = check(file, source.value)
        if (message !== null) context.report({ node: source, message })
      }
      return {
        ImportDeclaration: node => visit(node.source),
        ExportNamedDeclaration: node => visit(node.source),
        ExportAllDeclaration: node => visit(node.source),
        ImportExpression: node => visit(node.source),
        TSImportType: node => visit(node.source ?? node.argument?.literal)
      }
    }
  }
}

export const layers = {
  rules: {
    imports: ruleOnImports((file, specifier) => {
      const message = complaint(file, specifier)
      return message === null ? null : `${message} ${TABLE}`
    }),

    circles: ruleOnImports((file, specifier) => {
      if (!specifier.startsWith('.')) return null
      const path = pathBetween(resolve(file, specifier), file)
      if (path === null) return null
      return `This import closes a circle: ${[file, ...path].join(' → ')}. Move what they share into a file that both import.`
    }),

    globals: {
      meta: { type: 'problem', schema: [] },
      create (context) {
        const file = relative(ROOT, context.filename).split(sep).join('/')
        const { name, without = [], env = false } = LAYERS[names.indexOf(layerOf(file))] ?? {}
        return {
          'Program:exit' (program) {
            for (const { identifier } of globalReferences(context.sourceCode.getScope(program))) {
              const { parent } = identifier
              const isEnv = identifier.name === 'process' && readsEnv(parent)
              if (isEnv && !env) {
                context.report({ node: parent, message: `Only ${LAYERS.filter(layer => layer.env).map(layer => layer.name).join()} reads the environment. ${TABLE}` })
              } else if (without.includes(identifier.name)) {
                context.report({ node: identifier, message: `${name} may not use '${identifier.name}'. ${TABLE}` })
              }
            }
          }
        }
      }
    }
  }
}

/** Whether what stands around `process` takes its `env`: `process.env`, `process['env']`, `const { env } = process`. */
function readsEnv (node) {
  if (node.type === 'MemberExpression') return (node.property.name ?? node.property.value) === 'env'
  return node.type === 'VariableDeclarator' && node.id.type === 'ObjectPattern' && node.id.properties.some(({ key }) => key?.name === 'env')
}

/** References to globals: those that nothing declares, and those that ESLint knows of. */
function globalReferences (scope) {
  const global = scope.type === 'global' ? scope : scope.upper
  return [...global.through, ...global.variables.filter(({ defs }) => defs.length === 0).flatMap(({ references }) => references)]
    .filter(({ isTypeReference }) => isTypeReference !== true)
}
