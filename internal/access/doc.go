// Package access is who may do what: principals, roles, the actions that they allow, and the
// words of keys. It does no I/O; store/keys keeps keys and authenticates them.
package access
