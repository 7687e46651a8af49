/** Returns the path of the route with this index. */
export function pathOf (index: number): string {
  return index === 0 ? '/' : `/section-${index % 40}/route-${index}`
}
