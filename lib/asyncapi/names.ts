/** Unique names in one part of the document. */
export class UniqueNames {
  private readonly taken = new Set<string>()

  /** @returns the name, with a number appended if it is taken */
  take (name: string): string {
    let unique = name
    for (let count = 2; this.taken.has(unique); count++) unique = `${name}_${count}`
    this.taken.add(unique)
    return unique
  }
}

/** `/chat/{room}` → `chatRoom`: a name that code generators can use as an identifier. */
export function toCamelCase (text: string): string {
  const [first = '', ...others] = text.normalize('NFD').replace(/\p{M}/gu, '').match(/[A-Za-z0-9]+/g) ?? []
  return first.charAt(0).toLowerCase() + first.slice(1) + others.map(capitalize).join('')
}

export function capitalize (text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** The characters that AsyncAPI allows for the names of components. */
export function toComponentName (text: string): string {
  return text.replace(/[^\w.-]+/g, '-').replace(/^-+|-+$/g, '') || 'unnamed'
}
