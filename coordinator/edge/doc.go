// Package edge says who may talk to a coordinator: TLS on the APIs' ports, API
// keys, and each key's limits. It knows no route of the APIs but those that are
// open to all; what a request means is package gateway's.
package edge
