// The functions that a compiler may call without being asked (GCC manual, 2.1 "Standards": freestanding environment).

using size_type = decltype(sizeof(0));

extern "C" void* memset(void* destination, int value, size_type count) {
  void* const result = destination;
  asm volatile("rep stosb" : "+D"(destination), "+c"(count) : "a"(value) : "memory");
  return result;
}

extern "C" void* memcpy(void* destination, const void* source, size_type count) {
  void* const result = destination;
  asm volatile("rep movsb" : "+D"(destination), "+S"(source), "+c"(count) : : "memory");
  return result;
}
