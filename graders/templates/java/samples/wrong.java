import java.util.Scanner;

public class Main {
    public static void main(String[] arguments) {
        Scanner numbers = new Scanner(System.in);
        int largest = 0; // 0 is larger than any negative number
        int count = 0;
        while (numbers.hasNextInt()) {
            largest = Math.max(largest, numbers.nextInt());
            count++;
        }
        System.out.println(count > 0 ? String.valueOf(largest) : "none");
    }
}
