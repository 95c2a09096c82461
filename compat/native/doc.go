// Package native tests the native API with clients that others generate from
// /openapi.json: in TypeScript by openapi-typescript, in Python by
// openapi-python-client. What they generate has to be usable as it is: they
// send events and ask for usage without a cast, a header or a parameter by hand.
package native
