import Base
import Glibc
import NIOCore
import NIOSSL

/// The files of one listener's TLS settings, read and checked.
struct TLSFiles {
    /// One thing that is wrong with a file.
    struct Problem: Error, CustomStringConvertible {
        /// The key that names the file: `certificate`, `key` or `client_ca`.
        let key: String
        let file: String
        /// What is wrong; never a part of what the file holds.
        let text: String

        var description: String { "\(key) = \"\(file)\": \(text)" }
    }

    private let chain: [NIOSSLCertificate]
    private let key: NIOSSLPrivateKey
    private let clientAuthority: [NIOSSLCertificate]

    /// No certificate is larger.
    private static let fileBytesMax = 1 << 20
    /// Closing waits so long for the other side's end; it was told before, and had time.
    private static let shutdownTimeout = TimeAmount.milliseconds(100)

    /// Reads all files, or tells everything that is wrong with them.
    ///
    /// Blocks.
    static func read(_ tls: Configuration.TLS) -> Result<TLSFiles, Problems> {
        var problems: [Problem] = []
        let chain = collect(&problems) { () throws(Problem) in
            try certificates("certificate", tls.certificate)
        }
        let key = collect(&problems) { () throws(Problem) in try privateKey(tls.key) }
        let authority = collect(&problems) { () throws(Problem) in
            tls.clientCA.isEmpty ? [] : try certificates("client_ca", tls.clientCA)
        }
        guard let chain, let key, let authority else {
            return .failure(Problems(list: problems))
        }
        let files = TLSFiles(chain: chain, key: key, clientAuthority: authority)
        do {
            _ = try files.makeContext(protocols: [])
        } catch {
            let text = "does not fit the certificate \"\(tls.certificate)\""
            return .failure(Problems(list: [Problem(key: "key", file: tls.key, text: text)]))
        }
        return .success(files)
    }

    /// Everything that is wrong with the files of one listener.
    struct Problems: Error, CustomStringConvertible {
        let list: [Problem]

        var description: String { list.map(\.description).joined(separator: "; ") }
    }

    private static func collect<Value>(
        _ problems: inout [Problem],
        _ read: () throws(Problem) -> Value
    ) -> Value? {
        do {
            return try read()
        } catch {
            problems.append(error)
            return nil
        }
    }

    /// What connections are made with; `protocols` are for ALPN.
    func makeContext(protocols: [String]) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(key)
        )
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = protocols
        configuration.shutdownTimeout = Self.shutdownTimeout
        if !clientAuthority.isEmpty {
            configuration.trustRoots = .certificates(clientAuthority)
            configuration.certificateVerification = .noHostnameVerification
            configuration.sendCANameList = true
        }
        return try NIOSSLContext(configuration: configuration)
    }

    /// The seconds since 1970 at which the certificate begins and ends.
    var validity: ClosedRange<Int>? {
        guard let first = chain.first, first.notValidBefore <= first.notValidAfter else {
            return nil
        }
        return first.notValidBefore...first.notValidAfter
    }

    // MARK: Reading

    private static func certificates(
        _ key: String,
        _ file: String
    ) throws(Problem) -> [NIOSSLCertificate] {
        let bytes = try bytes(key, file)
        do {
            let certificates = try NIOSSLCertificate.fromPEMBytes(bytes)
            if !certificates.isEmpty { return certificates }
        } catch {
            // The library's reasons mean nothing to an operator; there is one that matters.
        }
        let text = "holds no certificate in PEM form, or a broken one"
        throw Problem(key: key, file: file, text: text)
    }

    private static func privateKey(_ file: String) throws(Problem) -> NIOSSLPrivateKey {
        let bytes = try bytes("key", file)
        do {
            return try NIOSSLPrivateKey(bytes: bytes, format: .pem)
        } catch {
            let isEncrypted = String(decoding: bytes, as: UTF8.self).contains("ENCRYPTED")
            let text =
                isEncrypted
                ? "is encrypted; a key without a passphrase is needed"
                : "holds no private key in PEM form, or a broken one"
            throw Problem(key: "key", file: file, text: text)
        }
    }

    private static func bytes(_ key: String, _ file: String) throws(Problem) -> [UInt8] {
        func unreadable() -> Problem {
            let reason = String(cString: strerror(errno))
            return Problem(key: key, file: file, text: "cannot be read: \(reason)")
        }
        guard let stream = fopen(file, "re") else { throw unreadable() }
        defer { fclose(stream) }
        var bytes = [UInt8](repeating: 0, count: fileBytesMax + 1)
        let count = fread(&bytes, 1, bytes.count, stream)
        guard ferror(stream) == 0 else { throw unreadable() }
        guard count <= fileBytesMax else {
            let text = "is larger than \(ByteCount(fileBytesMax))"
            throw Problem(key: key, file: file, text: text)
        }
        return Array(bytes[..<count])
    }
}
