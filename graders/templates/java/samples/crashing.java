import java.util.Scanner;

public class Main {
    public static void main(String[] arguments) {
        Scanner numbers = new Scanner(System.in);
        int largest = numbers.nextInt(); // there may be none
        while (numbers.hasNextInt()) {
            largest = Math.max(largest, numbers.nextInt());
        }
        System.out.println(largest);
    }
}
