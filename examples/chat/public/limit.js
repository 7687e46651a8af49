const SCARCE = 0.1 // of the limit, from which what is left is shown

/**
 * Says how long the text of a field is, once that gets near the limit. A text that is too long stays as it is: it is not cut
 * off, and cannot be submitted.
 *
 * @returns shows it again, after the field was changed without an event
 */
export function limit (field, most, output, toText = text => text.trim()) {
  const show = () => {
    const length = [...toText(field.value)].length
    const excess = length - most
    output.textContent = excess > 0 ? tooMany(excess) : length > most * (1 - SCARCE) ? `${length} of ${most}` : ''
    output.classList.toggle('exceeded', excess > 0)
    field.setCustomValidity(excess > 0 ? `${tooMany(excess)}: up to ${most} fit.` : '')
  }
  field.addEventListener('input', show)
  return show
}

function tooMany (excess) {
  return excess === 1 ? '1 character too many' : `${excess} characters too many`
}
