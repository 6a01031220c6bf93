#include "sim/debug/gdb_connection.h"

#include <array>
#include <stdexcept>

#include <fmt/format.h>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

namespace bunshin {

namespace asio = boost::asio;
using asio::ip::tcp;

struct GdbConnection::Sockets {
  asio::io_context context;
  tcp::acceptor acceptor{context};
  tcp::socket socket{context};
  std::array<char, 4096> buffer{};
  std::size_t position = 0;
  std::size_t filled = 0;
};

GdbConnection::GdbConnection(unsigned port) : sockets_(std::make_unique<Sockets>()) {
  try {
    const tcp::endpoint endpoint(asio::ip::address_v4::loopback(), static_cast<unsigned short>(port));
    sockets_->acceptor.open(endpoint.protocol());
    sockets_->acceptor.set_option(tcp::acceptor::reuse_address(true));
    sockets_->acceptor.bind(endpoint);
    sockets_->acceptor.listen(1);
  } catch (const boost::system::system_error& e) {
    throw std::runtime_error(fmt::format("--gdb {}: cannot listen on that port: {}", port, e.code().message()));
  }
}

GdbConnection::~GdbConnection() = default;

unsigned GdbConnection::port() const { return sockets_->acceptor.local_endpoint().port(); }

void GdbConnection::accept() {
  boost::system::error_code error;
  sockets_->acceptor.accept(sockets_->socket, error);
  if (error) throw std::runtime_error("no debugger could connect: " + error.message());
  sockets_->socket.set_option(tcp::no_delay(true), error);
}

bool GdbConnection::connected() const { return sockets_->socket.is_open(); }

void GdbConnection::close() {
  boost::system::error_code ignored;
  sockets_->socket.close(ignored);
}

int GdbConnection::next_byte() {
  Sockets& s = *sockets_;
  if (s.position == s.filled) {
    boost::system::error_code error;
    s.filled = connected() ? s.socket.read_some(asio::buffer(s.buffer), error) : 0;
    s.position = 0;
    if (error || s.filled == 0) {
      s.filled = 0;
      close();
      return -1;
    }
  }
  return static_cast<unsigned char>(s.buffer[s.position++]);
}

std::optional<std::string> GdbConnection::receive() {
  constexpr std::size_t max_packet = 1u << 20;
  while (true) {
    int c = next_byte();
    if (c < 0) return std::nullopt;
    if (c == 3) return "\x03";
    if (c != '$') continue;
    std::string contents;
    u8 sum = 0;
    while ((c = next_byte()) >= 0 && c != '#' && contents.size() < max_packet) {
      sum = static_cast<u8>(sum + c);
      if (c == '}') {
        c = next_byte();
        sum = static_cast<u8>(sum + c);
        c ^= 0x20;
      }
      contents += static_cast<char>(c);
    }
    const int high = next_byte(), low = next_byte();
    if (high < 0 || low < 0) return std::nullopt;
    const std::string digits{static_cast<char>(high), static_cast<char>(low)};
    const auto stated = from_hex(digits);
    const bool good = stated && stated->front() == sum;
    if (acknowledge_) {
      boost::system::error_code ignored;
      asio::write(sockets_->socket, asio::buffer(good ? "+" : "-", 1), ignored);
    }
    if (good) return contents;
  }
}

void GdbConnection::send(std::string_view contents) {
  std::string packet = "$";
  u8 sum = 0;
  const auto append = [&](char c) {
    packet += c;
    sum = static_cast<u8>(sum + static_cast<u8>(c));
  };
  for (const char c : contents) {
    if (c == '$' || c == '#' || c == '}' || c == '*') {
      append('}');
      append(static_cast<char>(c ^ 0x20));
    } else {
      append(c);
    }
  }
  packet += fmt::format("#{:02x}", sum);
  boost::system::error_code error;
  asio::write(sockets_->socket, asio::buffer(packet), error);
  if (error) close();
}

bool GdbConnection::input_waiting() {
  Sockets& s = *sockets_;
  if (!connected()) return false;
  if (s.position < s.filled) return true;
  boost::system::error_code error;
  s.socket.non_blocking(true, error);
  s.filled = s.socket.read_some(asio::buffer(s.buffer), error);
  s.position = 0;
  boost::system::error_code ignored;
  s.socket.non_blocking(false, ignored);
  if (error == asio::error::would_block) {
    s.filled = 0;
    return false;
  }
  if (error) {
    s.filled = 0;
    close();
  }
  return true;
}

std::string to_hex(std::span<const u8> bytes) {
  std::string text;
  for (const u8 b : bytes) text += fmt::format("{:02x}", b);
  return text;
}

std::optional<std::vector<u8>> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::vector<u8> bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<u8>(high << 4 | low));
  }
  return bytes;
}

}  // namespace bunshin
