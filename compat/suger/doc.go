// Package suger runs the vendor's own Python client against `odometer serve`,
// sends what only its Go client sends, and holds every answer against the rules
// by which both clients decode. It holds tests only.
package suger
