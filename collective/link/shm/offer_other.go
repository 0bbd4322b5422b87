//go:build !linux

package shmlink

import (
	"errors"

	"github.com/sullae/sullae/collective/link"
)

// Supported tells that processes of one host can share memory here.
const Supported = false

var errUnsupported = errors.New("memory is shared on Linux alone")

// Offer is an invitation to a peer; there are none here.
type Offer struct{ Name string }

// NewOffer makes none.
func NewOffer([]byte) (*Offer, error) { return nil, errUnsupported }

// Close takes the offer back.
func (o *Offer) Close() error { return nil }

// Accept is the link to the peer that has taken the offer up.
func (o *Offer) Accept(link.Link) (*Link, error) { return nil, errUnsupported }

// Taken is an offer that this process has taken up.
type Taken struct{}

// Take takes none up.
func Take(string, []byte) (*Taken, error) { return nil, errUnsupported }

// Link is the link over control.
func (t *Taken) Link(link.Link) *Link { return nil }

// Close gives the offer up.
func (t *Taken) Close() {}
