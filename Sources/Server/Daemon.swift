/// The running daemon.
package enum Server {
    /// The version of radiator, as `--version` prints it.
    package static let version = "0.1.0"

    /// Runs the broker until it is told to stop.
    ///
    /// Returns after a clean stop. Throws an error whose description is one clear line when it cannot
    /// start, or when the store has failed.
    package static func run(_ configuration: Configuration) async throws {
        throw StartError(text: "this build has no broker yet")
    }
}

/// Why the daemon did not start, in one line.
package struct StartError: Error, CustomStringConvertible, Sendable {
    package let text: String

    package var description: String { text }
}
