import type { AsyncApiInfo, AsyncApiOptions, AsyncApiSecurityScheme, AsyncApiServer } from '../../types/asyncapi.js'
import { describe, OptionError } from '../errors.js'
import { check, checkArray, checkFunction, checkObject, checkOptions, checkText, checkUri, nested, type Check, type Checks } from './check.js'
import { ASYNCAPI_INFO_DEFAULTS, type AsyncApiSettings } from './settings.js'

/** The properties of a type that are not there by a pattern. */
type KnownKeys<T> = keyof { [K in keyof T as `x-${string}` extends K ? never : K]: T[K] }

const INFO_CHECKS: Checks<Pick<AsyncApiInfo, KnownKeys<AsyncApiInfo>>> = {
  title: checkText,
  version: checkText,
  description: checkText,
  termsOfService: checkUri,
  contact: checkObject,
  license: checkObject,
  tags: checkArray,
  externalDocs: checkObject
}

const ASYNCAPI_CHECKS: Checks<AsyncApiOptions> = {
  info: checkInfo,
  servers: checkNamedObjects<AsyncApiServer>('a server', ['host', 'protocol']),
  id: checkUri,
  defaultContentType: checkText,
  securitySchemes: checkNamedObjects<AsyncApiSecurityScheme>('a security scheme', ['type']),
  route: check<false | string>("false or a URL that begins with '/'", value => value === false || (typeof value === 'string' && value.startsWith('/'))),
  transform: checkFunction
}

export const checkAsyncApi = nested(ASYNCAPI_CHECKS, 'an object')

/** AsyncAPI allows extensions of any value, whose names begin with `x-`. */
function checkInfo (value: unknown, name: string): Partial<AsyncApiInfo> {
  const entries = Object.entries(checkObject(value, name))
  const extensions = entries.filter(([key]) => key.startsWith('x-'))
  const known = entries.filter(([key]) => !key.startsWith('x-'))
  return { ...checkOptions(INFO_CHECKS, Object.fromEntries(known), `${name}: `), ...Object.fromEntries(extensions) }
}

function checkNamedObjects<T extends object> (kind: string, required: ReadonlyArray<keyof T & string>): Check<Record<string, T>> {
  return (value, name) => {
    const objects = checkObject<Record<string, T>>(value, name)
    for (const [key, object] of Object.entries(objects)) {
      // References have the form `#/…/name`, and AsyncAPI allows components no other characters.
      if (!/^[\w.-]+$/.test(key)) throw new OptionError(`${name} must have names of letters, digits, '.', '-' and '_', not ${describe(key)}`)
      checkObject(object, `${name}: '${key}'`)
      for (const property of required) {
        if (typeof object[property] !== 'string') throw new OptionError(`${name}: '${key}' must have '${property}', as ${kind} of AsyncAPI has`)
      }
    }
    return objects
  }
}

export function resolveAsyncApi (options: AsyncApiOptions): AsyncApiSettings {
  return {
    info: { ...ASYNCAPI_INFO_DEFAULTS, ...options.info },
    servers: options.servers ?? null,
    id: options.id ?? null,
    defaultContentType: options.defaultContentType ?? null,
    securitySchemes: options.securitySchemes ?? null,
    route: options.route === false ? null : options.route ?? null,
    transform: options.transform ?? null
  }
}
