import stylistic from '@stylistic/eslint-plugin'
import typescript from '@typescript-eslint/eslint-plugin'
import parser from '@typescript-eslint/parser'
import node from 'eslint-plugin-n'
import promise from 'eslint-plugin-promise'
import globals from 'globals'
import { layers } from './scripts/layer-rules.js'
import { language, LEFT_TO_TYPESCRIPT, style } from './scripts/standard-style.js'

/** The rules that know the syntax of TypeScript, in the place of those that do not. */
function typescriptRules () {
  const rules = Object.fromEntries(LEFT_TO_TYPESCRIPT.map(name => [name, 'off']))
  for (const [name, { meta }] of Object.entries(typescript.rules)) {
    if (!Object.hasOwn(language, name) || meta.docs.requiresTypeChecking || LEFT_TO_TYPESCRIPT.includes(name)) continue
    rules[name] = 'off'
    rules[`@typescript-eslint/${name}`] = language[name]
  }
  return rules
}

export default [
  { ignores: ['**/dist/', 'coverage/', '**/.tap/', 'docs/api/', 'docs/.vitepress/cache/'] },
  {
    languageOptions: {
      ecmaVersion: 2022,
      sourceType: 'module',
      globals: { ...globals.es2022, ...globals.node, document: 'readonly', navigator: 'readonly', window: 'readonly' }
    },
    plugins: { '@stylistic': stylistic, n: node, promise },
    rules: { ...language, ...style }
  },
  {
    files: ['**/*.ts'],
    languageOptions: { parser },
    plugins: { '@typescript-eslint': typescript },
    rules: typescriptRules()
  },
  {
    // lib/thenable.ts says why
    files: ['lib/**/*.ts'],
    rules: {
      // a longer file does more than one job
      'max-lines': ['error', 400],
      'no-restricted-syntax': ['error', {
        selector: "BinaryExpression[operator='instanceof'][right.name='Promise']",
        message: 'Thenables are no instances of Promise: use lib/thenable.ts.'
      }]
    }
  },
  {
    files: ['lib/**/*.ts', 'types/**/*.ts'],
    plugins: { layers },
    rules: { 'layers/imports': 'error', 'layers/circles': 'error', 'layers/globals': 'error' }
  },
  {
    // merging into Fastify's interfaces repeats their type parameters, whether used or not
    files: ['types/**/*.ts'],
    rules: { '@typescript-eslint/no-unused-vars': 'off' }
  }
]
