/// What all programs of radiator say of themselves.
package enum Release {
    package static let version = "0.1.0"
}
