import neostandard from 'neostandard'

export default [
  ...neostandard({
    ts: true,
    noJsx: true,
    ignores: ['dist/', 'coverage/', '.tap/']
  }),
  {
    // a constant and its type may share a name; what must not be declared twice, TypeScript knows
    files: ['**/*.ts'],
    rules: { '@typescript-eslint/no-redeclare': 'off' }
  },
  {
    // lib/thenable.ts says why
    files: ['lib/**/*.ts'],
    rules: {
      'no-restricted-syntax': ['error', {
        selector: "BinaryExpression[operator='instanceof'][right.name='Promise']",
        message: 'Thenables are no instances of Promise: use lib/thenable.ts.'
      }]
    }
  },
  {
    // merging into Fastify's interfaces repeats their type parameters, whether used or not
    files: ['types/**/*.ts'],
    rules: { '@typescript-eslint/no-unused-vars': 'off' }
  }
]
