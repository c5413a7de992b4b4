import Base
import NIOSSL

/// What a listener does with a new connection; the rest of it can change while it listens.
///
/// Confinement: broker loop.
package final class ListenerSetup {
    let `protocol`: Configuration.ListenProtocol
    /// For new connections; nil without TLS.
    private(set) var tls: NIOSSLContext?
    private(set) var origins: OriginRule
    private(set) var options = StompSessionOptions()

    /// Scripts in hidden tabs of browsers run once a minute, and so do their heart-beats.
    private static let webSocketSilenceMin = Interval.seconds(70)

    /// Plain STOMP, as `--listen` has it.
    package convenience init() {
        self.init(protocol: .stomp, Live(tls: nil, origins: OriginRule([])))
    }

    init(protocol: Configuration.ListenProtocol, _ live: Live) {
        self.protocol = `protocol`
        tls = live.tls
        origins = live.origins
    }

    /// The part that a reload replaces.
    struct Live: Sendable {
        let tls: NIOSSLContext?
        let origins: OriginRule

        init(tls: NIOSSLContext?, origins: OriginRule) {
            self.tls = tls
            self.origins = origins
        }

        /// Reads the files of a listener, or says what is wrong with them.
        ///
        /// Blocks.
        init(_ listen: Configuration.Listen) throws {
            let protocols = listen.protocol == .websocket ? ["http/1.1"] : []
            tls = try listen.tls.map {
                try TLSFiles.read($0).get().makeContext(protocols: protocols)
            }
            origins = OriginRule(listen.origins)
        }
    }

    /// Takes what holds for connections from now on.
    func take(_ live: Live) {
        tls = live.tls
        origins = live.origins
    }

    /// Takes the options of sessions from now on.
    func take(_ options: StompSessionOptions) {
        self.options = options
        if `protocol` == .websocket { self.options.silenceMin = Self.webSocketSilenceMin }
    }
}
