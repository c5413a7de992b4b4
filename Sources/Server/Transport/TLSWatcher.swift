import Base
import Logging
import NIOCore
import NIOSSL
import NIOTLS

/// Stands behind the TLS handler of one connection and tells the session what concerns it.
///
/// A client that ends TCP without ending TLS is no error here: a frame says itself where it ends, so
/// nothing can be cut off unnoticed, and most clients leave that way.
///
/// Confinement: broker loop.
final class TLSWatcher: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let session: StompSession
    private let next: StompSession.Handshake?
    /// The channel may be closed, and know its peer no more, when a failure is told.
    private var peer = "unknown"

    /// `next` is what the client must do after the handshake.
    init(_ session: StompSession, next: StompSession.Handshake?) {
        self.session = session
        self.next = next
    }

    func channelActive(context: ChannelHandlerContext) {
        peer = context.remoteAddress?.shown ?? peer
        context.fireChannelActive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? TLSUserEvent else {
            context.fireUserInboundEventTriggered(event)
            return
        }
        guard case .handshakeCompleted = event else { return }
        do {
            let certificate = try context.pipeline.syncOperations.nioSSL_peerCertificate()
            session.certificateUser = certificate.flatMap(CertificateName.commonName)
            session.handshakeDone(next: next)
        } catch {
            context.fireErrorCaught(error)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case NIOSSLError.uncleanShutdown, NIOSSLError.shutdownFailed, is NIOSSLCloseTimedOutError:
            break
        case NIOSSLError.handshakeFailed(let failure):
            // The handler closes the connection.
            note(failure)
        case is NIOSSLError, is BoringSSLError:
            session.loop.logger.debug(
                "connection failed",
                metadata: [LogKeys.peer: "\(peer)", LogKeys.reason: "\(error)"]
            )
        default:
            context.fireErrorCaught(error)
        }
    }

    private func note(_ failure: BoringSSLError) {
        session.loop.beginTurn()
        if TLSFailure.isSilent(failure) {
            session.loop.logger.debug(
                "connection ended before its TLS handshake",
                metadata: [LogKeys.peer: "\(peer)"]
            )
            return
        }
        session.loop.logRefusal(
            "TLS handshake failed",
            [LogKeys.peer: "\(peer)", LogKeys.reason: "\(TLSFailure.reason(failure))"]
        )
    }
}
