"""geolab: find out where on Earth a photo was taken, from its pixels alone.

A teaching kit. The notebooks derive each system of image geolocation, from im2gps (2008) on; this
package keeps the form that the derivation ends in. Read it from the ground floor up:
`geolab.sphere` (geometry), `geolab.posterior` (the one answer type), `geolab.metrics` (the one
evaluator), `geolab.data`, `geolab.encoders`, `geolab.locators`, `geolab.maps`.
"""

__version__ = "0.1.0"
