// Runs in the pages of the chat, and is driven from chat.test.ts.

/* global NodeFilter, document, getComputedStyle, innerHeight, innerWidth */

const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 }).getContext('2d', { willReadFrequently: true })

globalThis.inspect = {
  /** Lists the touch targets that are too small for a finger. */
  smallTargets (size) {
    return [...document.querySelectorAll('button, a:not(.text a), input, textarea')]
      .filter(element => element.checkVisibility())
      .map(element => ({ name: element.id || element.textContent, box: element.getBoundingClientRect() }))
      .filter(({ box }) => box.width < size || box.height < size)
      .map(({ name, box }) => `${name}: ${box.width} × ${box.height}`)
  },

  /** Text of less contrast than WCAG 2.2, 1.4.3 asks for. */
  faintTexts () {
    const faint = []
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) {
      const text = walker.currentNode.data.trim()
      const element = walker.currentNode.parentElement
      if (text === '' || !element.checkVisibility({ opacityProperty: true }) || element.closest('noscript, .spoken') !== null) continue
      const layers = []
      for (let parent = element; parent !== null; parent = parent.parentElement) layers.unshift(getComputedStyle(parent).backgroundColor)
      const back = luminance(...layers)
      const front = luminance(...layers, getComputedStyle(element).color)
      const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05)
      if (contrast < 4.5) faint.push(`${text}: ${contrast.toFixed(2)}`)
    }
    return faint
  },

  /** Pixels by which anything is wider than the screen. */
  excessWidth () {
    const wide = [document.documentElement, document.body, document.getElementById('scroller')]
    return Math.max(...wide.map(element => element.scrollWidth - element.clientWidth), document.documentElement.scrollWidth - innerWidth)
  },

  /** Lists the texts of visible elements that wrap onto more than one line. */
  wrapped (selector) {
    const range = document.createRange()
    return [...document.querySelectorAll(selector)].filter(element => {
      range.selectNodeContents(element)
      return new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size > 1
    }).map(element => element.textContent)
  },

  /** Whether the whole of an element is on the screen. */
  isOnScreen (selector) {
    const { top, left, bottom, right } = document.querySelector(selector).getBoundingClientRect()
    return top >= 0 && left >= 0 && bottom <= innerHeight && right <= innerWidth
  }
}

/** The relative luminance of colours over each other (WCAG 2.2). */
function luminance (...layers) {
  for (const colour of ['#fff', ...layers]) {
    canvas.fillStyle = colour
    canvas.fillRect(0, 0, 1, 1)
  }
  const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data]
    .map(value => value / 255)
    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}
