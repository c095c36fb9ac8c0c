package agent

import "encoding/json"

// DecodeForTest reads an error off the wire.
func DecodeForTest(b []byte) error {
	c, err := newCodec(nil)
	if err != nil {
		return err
	}
	var w *wireError
	if err := json.Unmarshal(b, &w); err != nil {
		return nil
	}
	return c.decode(w)
}
