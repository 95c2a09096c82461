// Package aws runs the sender for AWS Marketplace against moto, which plays
// AWS for tests of its Python clients.
package aws
