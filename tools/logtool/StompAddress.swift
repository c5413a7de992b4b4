import ArgumentParser
import Glibc

/// `stomp://HOST:PORT`.
struct StompAddress: ExpressibleByArgument {
    private static let scheme = "stomp://"

    let host: String
    let port: String

    init?(argument: String) {
        // A login does not belong here: it would show in process lists and messages.
        guard argument.hasPrefix(Self.scheme), !argument.contains("@") else { return nil }
        var rest = argument.dropFirst(Self.scheme.count)
        if rest.hasSuffix("/") { rest = rest.dropLast() }
        var port = "61613"
        if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
            let tail = rest[rest.index(after: end)...]
            guard tail.isEmpty || tail.hasPrefix(":") else { return nil }
            if !tail.isEmpty { port = String(tail.dropFirst()) }
            rest = rest[rest.index(after: rest.startIndex)..<end]
        } else if let colon = rest.lastIndex(of: ":") {
            port = String(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        }
        guard !rest.isEmpty, let number = UInt16(port), number > 0 else { return nil }
        host = String(rest)
        self.port = port
    }

    /// A connected socket.
    func connect() throws -> Int32 {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(host, port, &hints, &list)
        guard code == 0 else {
            throw ToolFailure("\(host): \(String(cString: gai_strerror(code)))")
        }
        defer { freeaddrinfo(list) }
        var reason = "no address"
        var next = list
        while let address = next {
            next = address.pointee.ai_next
            let type = address.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue)
            let descriptor = socket(address.pointee.ai_family, type, 0)
            guard descriptor >= 0 else { continue }
            if Glibc.connect(descriptor, address.pointee.ai_addr, address.pointee.ai_addrlen) == 0 {
                return descriptor
            }
            reason = String(cString: strerror(errno))
            close(descriptor)
        }
        throw ToolFailure("connect to \(host) port \(port): \(reason); does the broker run there?")
    }
}
